using System.Text;
using VsockPair.Linux;

namespace VsockPair.Options;

/// <summary>Where QEMU's machine protocol is spoken, as <c>--qmp</c>, <c>--qmp-dir</c> and <c>[Watch]</c> write it.</summary>
public abstract record QmpSpec
{
    public const string SocketForm = "NAME=/path/qmp.sock";
    public const string TemplateForm = "/run/vms/{name}/qmp.sock";

    internal delegate QmpSpec? Parser(string text, out string fault);

    /// <param name="fault">What is wrong and what would be right, when the answer is null.</param>
    public static QmpSpec? TryParseSocket(string text, out string fault)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0)
        {
            fault = $"\"{text}\" does not say which guest's socket it is; write {SocketForm}";
            return null;
        }
        string name = text[..equals];
        string path = text[(equals + 1)..];
        if (!GuestName.IsValid(name))
        {
            fault = $"\"{text}\": \"{name}\" cannot be a guest's name; names are {GuestName.Rule}";
            return null;
        }
        fault = FaultOf(path) ?? "";
        return fault.Length == 0 ? new QmpSocket(name, path) : null;
    }

    /// <param name="fault">What is wrong and what would be right, when the answer is null.</param>
    public static QmpSpec? TryParseTemplate(string text, out string fault)
    {
        if (!PathTemplate.TryParse(text, text, out PathTemplate? template, out fault))
        {
            return null;
        }
        fault = template is null ? $"\"{text}\" has no place for the guest's name; write {TemplateForm}" : FaultOf(text) ?? "";
        return fault.Length == 0 ? new QmpTemplate(template!) : null;
    }

    private static string? FaultOf(string path) => path.StartsWith('/') && !path.EndsWith('/') && Encoding.UTF8.GetByteCount(path) < SockaddrUn.PathBytes
        ? null
        : $"\"{path}\": a socket is named by its whole path from /, of at most {SockaddrUn.PathBytes - 1} bytes";
}

/// <summary><c>NAME=/path/qmp.sock</c>.</summary>
public sealed record QmpSocket(string Name, string Path) : QmpSpec
{
    public override string ToString() => $"{Name}={Path}";
}

/// <summary><c>/run/vms/{name}/qmp.sock</c>: every such socket, also of VMs that come later.</summary>
public sealed record QmpTemplate(PathTemplate Paths) : QmpSpec
{
    public override string ToString() => Paths.ToString();
}
