"""The text section that is pasted into the dictation system."""
