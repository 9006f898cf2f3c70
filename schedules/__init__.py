"""When things happen by themselves: pure arithmetic of instants, which owns no clock."""
