"""Clients of a server: many, hasty, slow, idle and malicious ones, each of whose requests is accounted for."""
