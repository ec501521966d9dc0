"""SageMaker: the containers' contract, run as processes."""
