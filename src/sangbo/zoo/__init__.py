"""Networks of every family measured before and after conversion, in one table."""
