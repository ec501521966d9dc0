"""Amazon EC2: moto's, with what it leaves out."""
