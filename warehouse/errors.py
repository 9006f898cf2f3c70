"""What goes wrong when parent models are read; raised by the connectors as well."""

from connectors.warehouses.errors import WarehouseError, explained

__all__ = ["WarehouseError", "explained"]
