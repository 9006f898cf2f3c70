"""Sources of events: raw records of the vendors' formats in, inputs of the core out.

`recorded` and `followed` read chunks of raw records; `reader` decodes and matches them; `ordering`
puts recorded events in the order of their arrival; `requests` takes what clients send over HTTP.
"""
