"""What an attacker would try: hostile texts, and outputs made by somebody else."""
