"""Annotations before their image is read: regions, spans, drafts."""
