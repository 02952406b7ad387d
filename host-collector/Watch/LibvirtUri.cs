using System.Globalization;

namespace VsockPair.Watch;

/// <summary>libvirt's name of a connection: <c>DRIVER[+TRANSPORT]://[HOST]/PATH[?…]</c>.</summary>
internal static class LibvirtUri
{
    private const string PidFolder = "/run/libvirt/qemu";

    /// <returns>Why it cannot be watched; null when it can.</returns>
    public static string? WhyNot(string uri)
    {
        int end = uri.IndexOf("://", StringComparison.Ordinal);
        string scheme = uri[..Math.Max(0, end)];
        bool isLocal = uri[(end + 3)..].StartsWith('/') && scheme.IndexOf('+', StringComparison.Ordinal) is int plus && (plus < 0 || scheme[(plus + 1)..] == "unix");
        return scheme.Split('+')[0] != "qemu" ? $"{uri} is not libvirt's QEMU driver; use qemu:///system"
            : !isLocal ? $"{uri} is on another host: memory is written where libvirt runs, so run vsockpair watch there"
            : null;
    }

    /// <summary>The process of a domain that belongs to the system's libvirt; null where that does not say.</summary>
    public static int? ProcessOf(string uri, string domain)
    {
        try
        {
            return IsSystem(uri) && int.TryParse(File.ReadAllText(Path.Combine(PidFolder, domain + ".pid")).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int process) ? process : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool IsSystem(string uri) => uri[(uri.IndexOf("://", StringComparison.Ordinal) + 3)..].Split('?')[0] == "/system";
}
