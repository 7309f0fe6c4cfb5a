"""What is known without asking anybody: no I/O beyond our own templates and scripts, no pyinfra."""
