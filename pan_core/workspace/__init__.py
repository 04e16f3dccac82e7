"""The files of a project folder."""
