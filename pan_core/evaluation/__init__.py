"""What a model says about clips it never saw: figures, pictures and the report."""
