"""Pure text and dialogues as datasets: tasks ``text`` and ``chat``."""
