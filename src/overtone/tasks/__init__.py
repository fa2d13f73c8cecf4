"""What a model does with waveforms: the numbers its graphs are given, and the answers made of what they say."""
