"""The catalogue of features: which views there are, who answers for them, what their values are like."""
