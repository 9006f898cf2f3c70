"""A Kafka topic as a source: its messages, where reading begins, and what becomes of the topic."""
