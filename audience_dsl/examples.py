"""A whole project, and one condition of each kind, for the language reference.

The tests compile them, so what the page shows is always legal.
"""

from __future__ import annotations

PROJECT = """\
project: bookshop
warehouse: {type: duckdb, path: data/warehouse.duckdb}
sources:
  site: {type: file, format: segment, path: data/events/*.jsonl.gz}

parent_models:
  readers:
    from: {table: readers}
    primary_key: reader_id
    pull: {every: 6h}
    properties: {tier: string, spent: number, joined_at: timestamp, genres: array}

related_models:
  orders:
    from: {table: orders}
    parent_model: readers
    foreign_key: reader_id
    primary_key: order_id
    properties: {total: number, status: string}
  lines:
    from: {table: order_lines}
    related_model: orders
    foreign_key: order_id
    properties: {isbn: string}

events:
  book_viewed:
    source: site
    type: Book Viewed
    parent_model: readers
    properties:
      title: properties.title
      price: {column: properties.price, type: number}
  order_placed: {source: site, type: Order Placed, parent_model: readers}

audiences:
  keen_but_undecided:
    name: Keen but undecided
    parent_model: readers
    where:
      all:
        - performed: book_viewed
          where: {price: {at_least: 20}}
          at_least: 3
          within: 15m
        - did_not_perform: order_placed
          within: 1h
        - property: tier
          not_equals: staff

collections:
  reader_profiles: {parent_model: readers, indexes: [tier], fields: [tier, spent, genres]}

destinations:
  crm: {type: webhook, url: https://crm.example.com/hook, secret: "${CRM_SECRET}"}
syncs:
  keen_to_crm:
    audience: keen_but_undecided
    destination: crm
    on: [entered]
    only_if: {tier: {not_equals: press}}
    mapping:
      reader: "{{ user_id }}"
      tier: "{{ properties.tier | default('none') | upper }}"
      seen: {title: "{{ event.title }}", at: "{{ effective_at | epoch }}"}
"""

CONDITIONS = """\
all:
  - performed: book_viewed             # at least once
    within: 10 minutes
  - performed: book_viewed
    where:
      any:
        - property: title
          starts_with: the
          ignore_case: true
        - price: {between: [5, 10]}
    between: [2, 5]
    within: 24h
  - did_not_perform: order_placed
    within: 30m
  - property: joined_at
    within_last: 90d
  - property: genres
    has_any: [crime, poetry]
  - related: orders                    # two rows or more
    where: {status: paid}
    at_least: 2
  - related: orders
    sum: total
    between: [50, 500]
  - related: lines                     # of any of the reader's orders
    distinct: isbn
    greater_than: 10
  - in_audience: keen_but_undecided
  - none:
      - property: tier
        in: [staff, press]
      - not: {property: spent, exists: true}
"""
