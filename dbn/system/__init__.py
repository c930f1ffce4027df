"""What belongs to the machine and not to music: files, BLAS threads, interrupts."""
