using VsockPair.Listening;
using VsockPair.Storage;
using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Watch;

public sealed class DomainXmlTests
{
    private const string Whole = """
        <domain type='kvm' id='7'>
          <name>web1</name>
          <metadata>
            <!-- <on_crash>restart</on_crash> > --><![CDATA[<on_crash>restart</on_crash>]]>
            <app:notes xmlns:app="http://example.org/app"><app:on_crash>destroy</app:on_crash><app:panic/></app:notes>
          </metadata>
          <features><acpi/><vmcoreinfo state='on'/></features>
          <on_poweroff>destroy</on_poweroff>
          <on_crash>preserve</on_crash>
          <devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <panic model='isa'><address type='isa' iobase='0x505'/></panic>
            <vsock model='virtio'><cid auto='yes' note="a > b = '" address = '42'/><alias name='vsock0'/></vsock>
          </devices>
        </domain>
        """;

    [Fact]
    public void What_a_crash_needs_is_found_where_libvirt_writes_it()
    {
        DomainXml xml = DomainXml.Parse(Whole);
        Assert.Equal(new DomainXml(42, "preserve", true, true), xml);
        Assert.All(xml.Checks("web1"), c => Assert.True(c.Ok, c.Text));
        Assert.Equal([HostChecks.PanicAction, HostChecks.Pvpanic, HostChecks.Vmcoreinfo], xml.Checks("web1").Select(c => c.Check));
    }

    [Theory]
    [InlineData("<domain/>")]
    [InlineData("<domain><features><vmcoreinfo state='off'/></features><devices><vsock><cid auto='yes'/></vsock></devices></domain>")]
    [InlineData("<domain><devices><vsock><cid address='2'/></vsock><disk><panic/></disk></devices></domain>")]
    [InlineData("<domain><devices><vsock><cid address='4294967296'/></vsock></devices><metadata><on_crash>preserve</on_crash><vmcoreinfo/></metadata></domain>")]
    public void What_is_not_there_or_elsewhere_does_not_count(string text)
    {
        DomainXml xml = DomainXml.Parse(text);
        Assert.Equal(new DomainXml(null, "destroy", false, false), xml);
        Assert.All(xml.Checks("web1"), c => Assert.False(c.Ok, c.Text));
        Assert.All(xml.Checks("web1"), c => Assert.NotEqual("", c.Fix));
    }

    [Theory]
    [InlineData("coredump-restart", true)]
    [InlineData("coredump-destroy", true)]
    [InlineData("restart", false)]
    [InlineData("rename-restart", false)]
    public void Any_other_action_on_a_crash_is_told_with_the_command_that_mends_it(string action, bool isDumped)
    {
        DomainXml xml = DomainXml.Parse($"<domain><on_crash>{action}</on_crash></domain>");
        Assert.Equal((action, isDumped), (xml.OnCrash, xml.IsDumpedByLibvirt));
        CheckRecord check = xml.Checks("web1").First();
        Assert.Equal((false, "virsh set-lifecycle-action web1 crash preserve --live --config"), (check.Ok, check.Fix));
        Assert.Contains($"on_crash is {action}", check.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Elements_do_not_go_deeper_than_any_of_libvirts() =>
        Assert.Throws<MachineException>(() => DomainXml.Parse(string.Concat(Enumerable.Repeat("<a>", 1000)) + string.Concat(Enumerable.Repeat("</a>", 1000))));

    [Theory]
    [InlineData("")]
    [InlineData("<domain>")]
    [InlineData("<domain")]
    [InlineData("<domain a='></domain>")]
    [InlineData("<domain></devices></domain>")]
    [InlineData("<domain></domain></domain>")]
    [InlineData("<domain><></domain>")]
    [InlineData("<domain><!-- </domain>")]
    [InlineData("<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>")]
    public void What_is_no_XML_of_libvirts_is_refused(string text) =>
        Assert.Contains("XML of the domain cannot be read", Assert.Throws<MachineException>(() => DomainXml.Parse(text)).Message, StringComparison.Ordinal);
}
