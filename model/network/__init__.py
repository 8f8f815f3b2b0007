"""The network, one readable screen per part. The files that are copied next to exported weights import only one another."""
