namespace VsockPair.Functional.Tests.Collector;

/// <summary>A test that mounts a file system.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Skip = "needs root, to mount a small tmpfs";
        }
    }
}
