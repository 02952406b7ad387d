namespace VsockPair.TestKit.Vm;

/// <summary>A guest did not do what the test waited for; the message ends with the last lines of its console.</summary>
public sealed class GuestException : Exception
{
    public GuestException(string message)
        : base(message)
    {
    }

    public GuestException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
