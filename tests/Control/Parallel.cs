// Memory is measured: nothing else may run in the process meanwhile.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]
