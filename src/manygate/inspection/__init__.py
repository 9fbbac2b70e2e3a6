"""This room inspects the experts and gates of a trained model on rows, and raises alarms about faults."""
