"""SenseVoice: recognition by CTC, with language, emotion and audio event tags."""
