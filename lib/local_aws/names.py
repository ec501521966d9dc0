"""The names that every rehearsal has: its account, its Region and the secret of its source."""

ACCOUNT = "123456789012"  # moto's account
REGION = "eu-west-1"
SOURCE_SECRET = "acme-rehearsal-source"  # noqa: S105 - the name that parameters/rehearsal.yaml gives, not a secret
WEATHER = "weather.json"  # what it did, in the stand-in's directory
