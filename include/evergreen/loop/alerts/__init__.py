"""The last stage: the mails that other stages owe are rendered and sent."""
