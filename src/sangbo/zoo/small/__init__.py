"""Small networks of families whose weights no package carries, each trained here in minutes."""
