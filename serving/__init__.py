"""The HTTP server: what others ask a project for, and who may."""
