"""Snapshots of parent models: pulled from the warehouse, checked, published, looked up."""
