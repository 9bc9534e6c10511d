"""The last stage: the mails that other stages wrote are rendered and sent."""
