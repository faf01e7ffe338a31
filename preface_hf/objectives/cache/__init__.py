"""The FaceFeat Cache: a vector for every instance, in memory or in a mapped file."""
