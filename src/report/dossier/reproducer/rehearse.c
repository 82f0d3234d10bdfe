/* A process that was just forked has neither the code nor the stack of the timed stores mapped. */
static void rehearse_and_store(void)
{
	touch();
	stores(scratch, 1, 1);
	timed_stores();
}

