"""Annotations before their image has been looked at: regions, spans, drafts."""
