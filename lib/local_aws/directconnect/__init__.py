"""Direct Connect: connections, virtual interfaces and gateways, whose routes reach the VPC's route
tables.
"""
