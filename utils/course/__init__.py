"""Authoring the course: run the series, open the Lab, keep its address, release its exercises."""
