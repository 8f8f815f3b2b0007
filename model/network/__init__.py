"""The network, one readable screen per part. The files that are copied beside exported weights import only one another."""
