"""The commands about contracts: `warrant contract …`."""
