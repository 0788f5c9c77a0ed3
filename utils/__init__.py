"""Pathshala (পাঠশালা): what stands behind the notebooks of the course."""
