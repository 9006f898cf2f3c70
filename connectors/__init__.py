"""How to speak to others: event sources, warehouses, destinations."""
