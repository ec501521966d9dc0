"""How a run goes: its phases, parameters, kernels, evidence and report."""
