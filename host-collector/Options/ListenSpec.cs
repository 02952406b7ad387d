using System.Text;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.Options;

/// <summary>One place to listen on, as <c>--listen</c> and <c>[Listen] Specs</c> write it.</summary>
public abstract record ListenSpec
{
    /// <summary>What a spec may be, as the end of a message.</summary>
    public const string Forms = "vsock::829, hybrid:/path/vm.sock=NAME or hybrid:/run/vms/{name}/vm.sock";

    private const string VsockPrefix = "vsock:";
    private const string HybridPrefix = "hybrid:";

    /// <summary>What the VMM's socket path gets appended to where the collector listens: the VMM connects to <c>PATH_PORT</c>.</summary>
    public static string HybridSuffix { get; } = $"_{Wire.Port}";

    public static ListenSpec Default { get; } = new VsockListen(new VsockAddress(Constants.VMADDR_CID_ANY, Wire.Port));

    /// <param name="fault">What is wrong and what would be right, when the answer is null.</param>
    public static ListenSpec? TryParse(string text, out string fault)
    {
        ListenSpec? spec = null;
        if (text.StartsWith(VsockPrefix, StringComparison.Ordinal))
        {
            fault = $"\"{text}\": after vsock: comes CID:PORT, or :PORT for every CID";
            // VMADDR_PORT_ANY would let the kernel choose a port that no agent knows.
            if (VsockAddress.TryParse(text.AsSpan(VsockPrefix.Length), out VsockAddress address) && address.Port is not (0 or Constants.VMADDR_PORT_ANY))
            {
                fault = "";
                spec = new VsockListen(address);
            }
        }
        else if (text.StartsWith(HybridPrefix, StringComparison.Ordinal))
        {
            spec = TryParseHybrid(text, out fault);
        }
        else
        {
            fault = $"\"{text}\" is no place to listen on; write {Forms}";
        }
        return spec;
    }

    /// <summary>Whether <c>PATH_829</c> can be bound.</summary>
    public static bool IsSocketPath(string path) =>
        path.StartsWith('/') && !path.EndsWith('/') && Encoding.UTF8.GetByteCount(path) + HybridSuffix.Length < SockaddrUn.PathBytes;

    private static ListenSpec? TryParseHybrid(string text, out string fault)
    {
        string path = text[HybridPrefix.Length..];
        if (!PathTemplate.TryParse(path, text, out PathTemplate? template, out fault))
        {
            return null;
        }
        string name = "";
        if (template is null)
        {
            int equals = path.LastIndexOf('=');
            if (equals < 0)
            {
                fault = $"\"{text}\" does not say which guest is behind the socket; write hybrid:/path/vm.sock=NAME, or {PathTemplate.NamePlace} in its path";
                return null;
            }
            name = path[(equals + 1)..];
            path = path[..equals];
            if (!GuestName.IsValid(name))
            {
                fault = $"\"{text}\": \"{name}\" cannot be a guest's name; names are {GuestName.Rule}";
                return null;
            }
        }
        if (!IsSocketPath(path))
        {
            fault = $"\"{text}\": a socket is named by its whole path from /, of at most {SockaddrUn.PathBytes - 1 - HybridSuffix.Length} bytes";
            return null;
        }
        fault = "";
        return template is null ? new HybridListen(path, name) : new HybridTemplate(template.Before, template.After);
    }
}

/// <summary><c>vsock::829</c>, <c>vsock:2:829</c>.</summary>
public sealed record VsockListen(VsockAddress Address) : ListenSpec
{
    public override string ToString() => $"vsock:{Address}";
}

/// <summary><c>hybrid:/path/vm.sock=NAME</c>: the collector binds <c>/path/vm.sock_829</c>, and who connects there is NAME.</summary>
public sealed record HybridListen(string Path, string Name) : ListenSpec
{
    public override string ToString() => $"hybrid:{Path}={Name}";
}

/// <summary><c>hybrid:/run/vms/{name}/vm.sock</c>: every socket whose path is <paramref name="Before"/>, a name without <c>/</c>, and <paramref name="After"/>.</summary>
public sealed record HybridTemplate(string Before, string After) : ListenSpec
{
    public PathTemplate Paths => new(Before, After);

    public override string ToString() => $"hybrid:{Paths}";
}
