namespace VsockPair.Decoding.Printing;

/// <summary>How deep a traced function is shown: below its caller, if that was traced before on the same CPU. Follows libtraceevent's <c>function</c> plugin.</summary>
internal sealed class CallStacks
{
    private const int MaxCpus = 4096;
    private const int MaxDepth = 512;

    /// <summary>For each CPU, the addresses of functions from the outermost inwards. Names are compared there, addresses of function starts here.</summary>
    private readonly Dictionary<int, List<ulong>> _stacks = [];

    /// <param name="parent">Where the calling function begins.</param>
    /// <param name="child">Where the called one begins; null when it has no name.</param>
    /// <returns>Level of the parent.</returns>
    public int Enter(int cpu, ulong parent, ulong? child)
    {
        if (!_stacks.TryGetValue(cpu, out List<ulong>? stack))
        {
            if (_stacks.Count == MaxCpus)
            {
                return 0;
            }
            _stacks.Add(cpu, stack = []);
        }
        int level = stack.IndexOf(parent);
        if (level < 0)
        {
            level = 0;
            Set(stack, 0, parent);
        }
        if (child is not null)
        {
            Set(stack, level + 1, child.Value);
        }
        return level;
    }

    private static void Set(List<ulong> stack, int at, ulong function)
    {
        if (at < stack.Count)
        {
            stack[at] = function;
        }
        else if (at < MaxDepth)
        {
            stack.Add(function);
        }
    }
}
