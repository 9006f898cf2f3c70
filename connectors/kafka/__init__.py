"""What a Kafka source and a Kafka destination share: settings, the connection, and its troubles."""
