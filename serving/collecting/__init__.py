"""The collector: what vendors' clients send is kept in logs, and answered as they expect."""
