"""How good models are and which is put in use: scores, benchmark, supervisor, gate, promotion, comparison."""
