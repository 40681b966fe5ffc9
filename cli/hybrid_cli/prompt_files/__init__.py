"""Files for the prompt: read safely, decoded, and written so that their content cannot pose as anything else."""
