"""Raw sources to encoded example shards, and the feed that streams them into training."""
