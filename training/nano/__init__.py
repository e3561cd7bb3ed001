"""nano: a small promptable segmenter, trained from scratch on rendered scenes and 80 annotated pictures."""
