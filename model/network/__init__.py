"""The network, one readable screen per part; the files that go with exported weights import only one another."""
