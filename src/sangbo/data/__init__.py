"""Texts, pictures and recordings that networks are calibrated and measured on."""
