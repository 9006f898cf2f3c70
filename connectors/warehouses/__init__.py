"""Where parent models are read from: each module here speaks one warehouse's tongue.

Whatever the warehouse, its rows appear as a `Relation`: something to select from on a DuckDB
connection.  Everything above (typing, checks, predicates) is thereby written once, in one dialect
of SQL.
"""
